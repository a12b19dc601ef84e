"""When and with what: schedules, sensors, jobs and the command line. What exists lives in assets."""
