"""Whether a flagged run may be stopped now: the last word before anything that stops one. It opens no file but one."""
