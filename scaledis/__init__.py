"""scaledis: scale-aware disentanglement in hierarchical latent spaces."""

__version__ = "0.1.0"
