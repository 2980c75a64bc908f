from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from job_processor.integrations.django import get_client, schedule_on_commit
from shop import jobs
from shop.models import Order


@csrf_exempt
@require_POST
@transaction.atomic
def order(request: HttpRequest) -> JsonResponse:
    """The job is there once the order is: never for one that is rolled back."""
    made = Order.objects.create(customer=request.POST["customer"])
    schedule_on_commit("confirm", {"order": made.pk}, unique_key=f"order-{made.pk}")
    if request.POST.get("card") == "refused":
        transaction.set_rollback(True)
        return JsonResponse({"error": "the card was refused"}, status=402)
    return JsonResponse({"order": made.pk}, status=202)


def count(request: HttpRequest) -> JsonResponse:
    """A job that no transaction decides about."""
    job = jobs.count.schedule_sync(confirmed=True)
    return JsonResponse({"job": str(job.id)}, status=202)


async def follow(request: HttpRequest, job_id: str) -> JsonResponse:
    """An async view: the client waits in a thread, the event loop continues."""
    job = await sync_to_async(get_client().get_job, thread_sensitive=False)(job_id)
    if job is None:
        return JsonResponse({}, status=404)
    return JsonResponse({"status": job.status, "result": job.output and job.output.result})
