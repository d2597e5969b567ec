"""The command line: the only room that reads arguments, touches a terminal, prints and exits."""
