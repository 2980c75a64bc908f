"""Notes in MongoDB by Django's ORM, with tasks that run as jobs in the same database.

    pip install 'job-processor[django,web]' django-mongodb-backend
    # with uv: uv add 'job-processor[django,web]' django-mongodb-backend
    export MONGODB_URI=mongodb://localhost:27017/?replicaSet=rs0
    python manage.py migrate
    python manage.py runserver

    curl localhost:8000/notes --data text='Buy milk, and bread'

and in another terminal

    python manage.py job_processor worker
    python manage.py job_processor jobs
    python manage.py job_processor web

Before Django 6 also: pip install django-tasks
"""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notes.settings")

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
