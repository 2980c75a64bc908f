"""A shop in Django whose jobs confirm orders.

    pip install 'job-processor[django,web]' uvicorn
    # with uv: uv add 'job-processor[django,web]' uvicorn
    python manage.py migrate
    python manage.py createsuperuser
    uvicorn shop.asgi:application --timeout-graceful-shutdown 2

    curl localhost:8000/orders --data customer=Ada

and in another terminal

    python manage.py job_processor worker
    python manage.py job_processor jobs

The dashboard is at localhost:8000/queue/, for whoever is logged in as staff. An open one would hold
up the server's end, hence the option.

    python manage.py test
"""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
