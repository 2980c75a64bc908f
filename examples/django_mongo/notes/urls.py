from django.urls import path

from notes import views

urlpatterns = [
    path("notes", views.write),
    path("results/<str:result_id>", views.follow),
]
