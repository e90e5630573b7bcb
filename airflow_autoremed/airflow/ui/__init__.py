"""The page in Airflow: what happened to a task, what it saves, and how to stop it. See ``docs/page.md``.

Only :mod:`airflow_autoremed.airflow.ui.doors` is loaded by the plugin, in every process of Airflow. Everything else,
FastAPI and Jinja among it, is loaded by the api-server when somebody first asks for a page.
"""
