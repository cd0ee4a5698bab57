"""What knows nothing of a VAE; its error is imported from here by every room."""

from scaledis.core.errors import UserError as UserError
