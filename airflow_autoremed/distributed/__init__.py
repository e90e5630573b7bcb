"""The history when it outgrows one machine: ingestion, training set and replay as PySpark jobs.

What is done for one event log, and for the attempts of one task, is the same code as on one machine
(:func:`airflow_autoremed.ingestion.event_logs.measured`, :func:`airflow_autoremed.learning.examples.of_task`,
:func:`airflow_autoremed.replay.of_task`); only who calls it differs. ``airflow-autoremed`` has to be installed where
the executors run.
"""
