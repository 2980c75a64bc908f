"""Django's tasks (`TASKS`), run by the project's workers: each is a job named after its place."""
