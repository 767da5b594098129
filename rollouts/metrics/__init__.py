"""The judge's metrics, one file each; the table that names them is in `rollouts.judge`."""
