"""What each kind of job gets, a module by who reads it, so that a change reruns those jobs alone."""
