import os

SERVER = os.environ.get("MONGODB_URI", "mongodb://localhost:27017/")
DATABASE = os.environ.get("MONGODB_DATABASE", "notes")

SECRET_KEY = os.environ.get("NOTES_SECRET_KEY", "of this example alone")
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
ROOT_URLCONF = "notes.urls"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django_mongodb_backend.fields.ObjectIdAutoField"

DATABASES = {"default": {"ENGINE": "django_mongodb_backend", "HOST": SERVER, "NAME": DATABASE}}

# The jobs are in the same database, in collections of their own.
ADDRESS, _, OPTIONS = SERVER.partition("?")
JOB_PROCESSOR = {"DB": f"{ADDRESS.rstrip('/')}/{DATABASE}{OPTIONS and '?'}{OPTIONS}"}

TASKS = {
    "default": {
        "BACKEND": "job_processor.integrations.django.TasksBackend",
        "OPTIONS": {"RETRY": 3, "ENQUEUE_IN_TRANSACTION": True},
    }
}

INSTALLED_APPS = ["job_processor.integrations.django", "notes"]
