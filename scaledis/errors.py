"""What a user can mend, apart from what is a bug."""


class UserError(ValueError):
    """A wrong setting, file or input: its message is one sentence that names the key, the value and the choices.

    The command line shows the sentence alone; every other exception is a bug and keeps its traceback.
    """
