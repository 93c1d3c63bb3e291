"""Grey images, and networks with several layers of latent variables that learn how likely they are."""
