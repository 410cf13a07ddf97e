{# Any cluster with SLURM: the GPUs and the partition are asked for, and SLURM finds the nodes. #}
{% extends "slurm.sh" %}
{% block tasks %}
{{- super() -}}
    {% if resources.ngpu_tasks %}
#SBATCH --gpus={{ resources.ngpu_tasks }}
    {% endif %}
    {% if account %}
#SBATCH --account={{ account }}
    {% endif %}
{% endblock tasks %}
