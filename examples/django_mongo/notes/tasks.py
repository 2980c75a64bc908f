try:
    from django.tasks import task
except ModuleNotFoundError:  # before Django 6: pip install django-tasks
    from django_tasks import task

from notes.models import Note


@task
def count_words(note: str) -> int:
    """Ids of MongoDB are no JSON, so a task gets one as text."""
    found = Note.objects.get(pk=note)
    found.words = len(found.text.split())
    found.save()
    return found.words
