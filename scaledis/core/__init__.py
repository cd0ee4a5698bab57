"""Code that knows nothing of VAEs; every other room imports UserError from here."""

from scaledis.core.errors import UserError as UserError
