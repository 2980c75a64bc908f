from job_processor.integrations.django import get_processor
from shop.models import Order

processor = get_processor()


@processor.job
def confirm(order: int) -> str:
    """Plain: it runs in a thread of the worker. Twice is harmless, since a job may run twice."""
    found = Order.objects.get(pk=order)
    found.confirmed = True
    found.save()
    return f"order {found.pk} of {found.customer}"


@processor.job
async def count(confirmed: bool) -> int:
    """Async: it uses the async side of the ORM."""
    return await Order.objects.filter(confirmed=confirmed).acount()


@processor.job(executor="process")
def report() -> dict:
    """In a process of its own, where Django is set up as well."""
    processor.logger.info("counting what is confirmed")
    return {"confirmed": Order.objects.filter(confirmed=True).count()}


@processor.cron("*/10 * * * *")
def confirm_what_was_lost() -> int:
    """Close the gap between a commit and its job: the order itself says that it has to come.

    Where the job waits already, its key says so, and no other is made.
    """
    lost = Order.objects.filter(confirmed=False).values_list("pk", flat=True)
    for pk in lost:
        confirm.options(unique_key=f"order-{pk}").schedule_sync(order=pk)
    return len(lost)
