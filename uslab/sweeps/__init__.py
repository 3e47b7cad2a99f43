"""Many runs: sweep file, job, lock, runner, workers, board, report, estimate."""
