from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django_mongodb_backend.transaction import atomic

from notes.models import Note
from notes.tasks import count_words


@csrf_exempt
@require_POST
@atomic
def write(request: HttpRequest) -> JsonResponse:
    """The task is there once the note is: never for one that is rolled back."""
    note = Note.objects.create(text=request.POST["text"])
    result = count_words.enqueue(str(note.pk))
    if not note.text.strip():
        raise ValueError("a note without a word is not kept")
    return JsonResponse({"note": str(note.pk), "result": result.id}, status=202)


async def follow(request: HttpRequest, result_id: str) -> JsonResponse:
    result = await count_words.aget_result(result_id)
    words = result.return_value if result.status == "SUCCESSFUL" else None
    return JsonResponse({"status": result.status, "words": words})
