"""The rooms of `certkit.rounding`; import from there."""
