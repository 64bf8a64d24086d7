"""Workers: queue tasks, the device pool and the processes that train."""
