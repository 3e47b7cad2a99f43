"""The engine through which papermill runs the notebooks: it cannot hang on a widget, and it names what stopped a cell.

`papermill --engine uslab` uses it, through uslab.notebooks.entry.
"""

import contextlib
import math
import signal
import sys
import threading
from pathlib import Path

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

from .kernels import private_sockets
from .parameters import UsageError, defaults

LAST_WORDS = 30  # seconds that a cell past its time limit has for its checkpoint, before its kernel is ended


class Client(PapermillNotebookClient):
    """Runs cells; one that is cut short may write its checkpoint first, and the notebook says why it ended there."""

    stopped = False  # whether the user has pressed Ctrl-C

    def create_kernel_manager(self):
        """Have `python3` be the Python that runs this: another kernel of the name, on JUPYTER_PATH, is not asked."""
        manager = super().create_kernel_manager()
        if manager.kernel_name == NATIVE_KERNEL_NAME:
            manager.kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
        return manager

    def on_comm_open_jupyter_widget(self, message):
        """Leave Output widgets to the kernel.

        nbclient plays the browser for them: it writes to the kernel while another of its tasks waits there, and now and
        then that wait never ends (jupyter/nbclient issue 312). Without a browser the kernel keeps its own Output, which
        is all that a finished notebook needs.
        """

    def execute(self, **options):
        """Run the notebook. Ctrl-C interrupts the running cell as Jupyter's Stop does; a second one ends it at once."""
        catches = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, self._stop) if catches else None
        try:
            return super().execute(**options)
        except Exception:
            if not self.nb.metadata.papermill.exception:
                raise
            return self.nb  # a cell's failure is recorded; that its kernel answers no more is a part of it
        finally:
            if catches:
                signal.signal(signal.SIGINT, before)

    def execute_cell(self, cell, cell_index, **options):
        limit = self.timeout
        try:
            if not self.stopped:
                super().execute_cell(cell, cell_index, **options)
        except CellTimeoutError as error:
            self.timeout = LAST_WORDS
            run_sync(self.km.interrupt_kernel)()
            reason = f"the cell was still running after {limit:g} s, its limit; --timeout sets another"
            raise self._recorded(cell, "TimeoutError", reason) from error
        except DeadKernelError as error:
            reason = "the Python of this notebook ended by itself: most often the memory was full"
            raise self._recorded(cell, "DeadKernelError", reason) from error
        except CellExecutionError:
            if not self.stopped:
                raise
        if self.stopped and cell.cell_type == "code":
            error = self._recorded(cell, "KeyboardInterrupt", "stopped from the keyboard")
            self.nb_man.cell_exception(cell, cell_index=cell_index, exception=error)
            raise KeyboardInterrupt
        return cell

    def _stop(self, number, frame):
        """Handle Ctrl-C: pass it on to the cell, which ends when its checkpoint is written."""
        self.stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.task_poll_for_reply is None:
            raise KeyboardInterrupt
        print("\nStopping when the cell has written its checkpoint; Ctrl-C again stops at once", file=sys.stderr)
        loop = self.task_poll_for_reply.get_loop()
        loop.call_soon_threadsafe(lambda: loop.create_task(self.km.interrupt_kernel()))

    @staticmethod
    def _recorded(cell, name: str, reason: str) -> CellExecutionError:
        """Put the reason where a reader looks for an error, in place of what the interrupt left; return it to raise."""
        cell.outputs = [output for output in cell.outputs if output.output_type != "error"]
        cell.outputs.append(new_output("error", ename=name, evalue=reason, traceback=[f"{name}: {reason}"]))
        return CellExecutionError(reason, name, reason)


class Engine(NBClientEngine):
    """papermill's engine `uslab`: the standard one with the client above."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man,                          # papermill's NotebookExecutionManager, which saves after every cell
        kernel_name,                     # name of a kernelspec
        execution_timeout=None,          # seconds a cell may take; None is no limit
        start_timeout=60,                # seconds the kernel may take to start
        keep_open=(),                    # numbers of open files that the kernel shares, such as a lock's
        **_,                             # papermill's options for logs, which this engine does not keep
    ):
        said, place = nb_man.nb.metadata.papermill, None
        if (notebook := Path(said.get("input_path") or "")).is_file():
            place = str(notebook.absolute().parent)     # what stands in a notebook is relative to it
            with contextlib.suppress(UsageError):       # a notebook without parameters
                out = str((defaults(notebook) | said.get("parameters", {})).get("out", "/"))
                if not Path(out).is_absolute():
                    print(f"{notebook} writes into {Path(place, out).resolve()}", file=sys.stderr)
        with private_sockets() as sockets:
            client = Client(
                nb_man,
                kernel_name=kernel_name,
                timeout=execution_timeout and math.ceil(execution_timeout),
                startup_timeout=start_timeout,
                extra_arguments=["--IPKernelApp.log_level=ERROR"],  # or each kernel warns of its loopback connection
                iopub_timeout=60,        # large pictures arrive late on a busy machine; the default gives up after 4 s
                config=sockets,
            )
            return client.execute(**({"cwd": place} if place else {}), **({"pass_fds": keep_open} if keep_open else {}))
