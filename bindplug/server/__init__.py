"""HTTP API and web page: the functions that the command line calls, for people and programs that
send files instead of naming them."""
