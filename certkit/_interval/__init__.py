"""The rooms of `certkit.interval`; import from there."""
