import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
shop = get_asgi_application()  # sets Django up, before what needs it is imported
shop = ASGIStaticFilesHandler(shop)  # the admin's style sheets; a web server's task in production

from job_processor.integrations.django import get_processor  # noqa: E402
from job_processor.integrations.django.asgi import login_access, mounted  # noqa: E402
from job_processor.web import create_app  # noqa: E402

dashboard = create_app(get_processor(), access=login_access("shop.change_order"))
application = mounted(shop, "/queue", dashboard)
