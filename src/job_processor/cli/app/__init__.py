"""The command line itself: its options, how it reads, prints and fails."""
