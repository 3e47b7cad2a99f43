"""The engine as papermill finds it at its own start, by the entry point in pyproject.toml.

The engine itself is imported when it is used: it imports papermill, which would meet it half-loaded.
"""


class Engine:
    """Hands papermill's three questions on to uslab.notebooks.engine.Engine."""

    @staticmethod
    def execute_notebook(*arguments, **options):
        return engine().execute_notebook(*arguments, **options)

    @staticmethod
    def nb_kernel_name(*arguments, **options):
        return engine().nb_kernel_name(*arguments, **options)

    @staticmethod
    def nb_language(*arguments, **options):
        return engine().nb_language(*arguments, **options)


def engine():
    from .engine import Engine as used

    return used
