"""The engine through which papermill runs the notebooks: it cannot hang on a widget, and it names what stopped a cell.

papermill loads this module at its own start, by the entry point in pyproject.toml, so the change to nbclient below
holds for the plain `papermill` command as well. Import papermill, never this module: papermill must be first.
"""

from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

# nbclient plays the browser for ipywidgets' Output: it writes to the kernel while another of its tasks waits there,
# and now and then that wait never ends (jupyter/nbclient issue 312). Without a browser the kernel keeps its own
# Output, which is all that a finished notebook needs.
NotebookClient.on_comm_open_jupyter_widget = lambda self, message: None

LAST_WORDS = 30  # seconds that an interrupted cell has for its checkpoint, before its kernel is ended


class Client(PapermillNotebookClient):
    """Runs cells; one that is cut short is interrupted first, and its notebook says why it ended there."""

    def execute_cell(self, cell, cell_index, **options):
        try:
            return super().execute_cell(cell, cell_index, **options)
        except CellTimeoutError as error:
            self._interrupt()
            reason = f"the cell was still running after {self.timeout} s, its limit; --timeout sets another"
            self._record(cell, "TimeoutError", reason)
            raise CellExecutionError(reason, "TimeoutError", reason) from error
        except DeadKernelError as error:
            reason = "the Python of this notebook ended by itself: most often the memory was full"
            self._record(cell, "DeadKernelError", reason)
            raise CellExecutionError(reason, "DeadKernelError", reason) from error
        except KeyboardInterrupt as error:
            self._interrupt()
            self._record(cell, "KeyboardInterrupt", "stopped from the keyboard")
            self.nb_man.cell_exception(cell, cell_index=cell_index, exception=error)
            raise

    def _interrupt(self):
        """Interrupt the running cell; the kernel then ends as soon as the cell has returned."""
        self.km.shutdown_wait_time = LAST_WORDS
        run_sync(self.km.interrupt_kernel)()

    @staticmethod
    def _record(cell, name: str, reason: str):
        """Put the reason where a reader looks for an error, in place of what the interrupt itself left."""
        cell.outputs = [output for output in cell.outputs if output.output_type != "error"]
        cell.outputs.append(new_output("error", ename=name, evalue=reason, traceback=[f"{name}: {reason}"]))


class Engine(NBClientEngine):
    """papermill's engine `uslab`: the standard one with the client above."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man,                          # papermill's NotebookExecutionManager, which saves after every cell
        kernel_name,                     # name of a kernelspec
        execution_timeout=None,          # seconds a cell may take; None is no limit
        start_timeout=60,                # seconds the kernel may take to start
        **_,                             # papermill's options for logs, which this engine does not keep
    ):
        client = Client(
            nb_man,
            kernel_name=kernel_name,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            iopub_timeout=60,            # large pictures arrive late on a busy machine; the default gives up after 4 s
        )
        return client.execute()
