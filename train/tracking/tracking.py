from train.tracking.wandb_log import Tracking as Tracking  # TEMPORARY shim, removed once recipe.py imports wandb_log
