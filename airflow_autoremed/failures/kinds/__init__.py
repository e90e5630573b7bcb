"""What is known of an error without knowing its sentence: its class, its codes, the code that raised it."""

from airflow_autoremed.failures.kinds.judging import judge as judge
from airflow_autoremed.failures.kinds.meaning import Kind as Kind
