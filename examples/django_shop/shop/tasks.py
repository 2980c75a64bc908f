try:
    from django.tasks import task
except ModuleNotFoundError:  # before Django 6: pip install django-tasks
    from django_tasks import task

from shop.models import Order


@task(queue_name="mail", takes_context=True)
def send_receipt(context, order: int) -> str:
    """Plain: it runs in a thread of the worker. The context is Django's; its `run` is ours."""
    found = Order.objects.get(pk=order)
    context.run.log(f"attempt {context.attempt} for {found.customer}")
    return f"receipt for {found.customer}"


@task
async def remind(days: int = 7) -> int:
    """Async: it uses the async side of the ORM."""
    return await Order.objects.filter(confirmed=False).acount()
