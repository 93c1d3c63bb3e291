"""Polyphonic music: Table 3 of Recurrent Ladder Networks, and Table 1 of the variational recurrent networks."""
