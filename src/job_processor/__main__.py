"""`python -m job_processor` is the command line, as `job-processor` is."""

from job_processor.cli import main

if __name__ == "__main__":
    main()
