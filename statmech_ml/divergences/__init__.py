"""Distances between distributions: closed forms, quadrature, and estimates from samples."""

__all__: list[str] = []
