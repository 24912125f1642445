"""The whole run as code, from top to bottom: `python examples/whole_run.py [CONFIG.yaml] [key=value …]`.

Without words it is the demo, on generated surfaces: about ten minutes on two CPU cores. Each step makes its
artifact or finds it complete, so the same line again goes on where it was.
"""

import sys

import agssp


def main(words: list[str]) -> None:
    """Run every step of a project and print what came of each."""
    project = agssp.load_project(*(words or ["recipe:demo"]))
    with agssp.open_project(project) as steps:
        # Which images there are, which of them are normal references, and which are held out.
        print("corpus:  ", steps.corpus.directory.read_table("manifest").num_rows, "images")

        # KeAD: an anomaly map of every image, without training.
        print("maps:    ", steps.maps.directory.uri)

        # Connected components above each category's threshold.
        print("boxes:   ", steps.boxes.results["boxes"], "pseudo-boxes")

        # AGBP: the backbone's attention is drawn to the maps.
        print("backbone:", steps.backbone.results["load"])

        # AGDP: backbone, neck and head learn to find the pseudo-boxes.
        print("detector:", steps.detector.directory.uri)

        # The few labels: the same finetuning from every start, each judged on the held-out images.
        for start in project.finetune.starts:
            figures = steps.evaluated(start).results
            print(f"{start:9}: mAP@0.5 {figures['map50']:.3f}, mAP@0.5:0.95 {figures['map50_95']:.3f}")

        # One page that shows all of it, and the detector in the registry.
        print("report:  ", f"{steps.report.directory.uri}/report.html")
        model = steps.registered.results
        print("model:   ", f"{model['name']}@{model['version']}")


if __name__ == "__main__":
    main(sys.argv[1:])
