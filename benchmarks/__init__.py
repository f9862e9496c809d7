"""Speed, as ratios to a named peer or reference measured in the same process."""
