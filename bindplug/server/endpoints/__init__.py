"""What each path answers: fields in, results as the command line's JSON out."""
