"""Experiments: what the papers train, with configurations, metrics and figures. Needs the extra packages of "train"."""
