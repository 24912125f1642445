"""Names of registered models."""


def model_name(project: str, stage: str, architecture: str) -> str:
    """The registered model of a project's stage, `PROJECT-STAGE-ARCHITECTURE`.

    Args:
        project: the project's name.
        stage: `backbone`, `detector` or `finetune`.
        architecture: the detector's name.
    """
    return f"{project}-{stage}-{architecture}"
