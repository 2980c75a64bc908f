from job_processor.integrations.django import get_processor
from shop.models import Order

processor = get_processor()


@processor.job()
def confirm(payload: dict) -> str:
    """Plain: it runs in a thread of the worker."""
    order = Order.objects.get(pk=payload["order"])
    order.confirmed = True
    order.save()
    return f"order {order.pk} of {order.customer}"


@processor.job()
async def count(payload: dict) -> int:
    """Async: it uses the async side of the ORM."""
    return await Order.objects.filter(confirmed=payload["confirmed"]).acount()


@processor.job(executor="process")
def report() -> dict:
    """In a process of its own, where Django is set up as well."""
    processor.logger.info("counting what is confirmed")
    return {"confirmed": Order.objects.filter(confirmed=True).count()}


@processor.cron("0 3 * * *")
def confirm_what_was_lost() -> int:
    """Close the gap between a commit and its job."""
    lost = Order.objects.filter(confirmed=False)
    for order in lost:
        processor.logger.info("order %s was not confirmed", order.pk)
    return len(lost)
