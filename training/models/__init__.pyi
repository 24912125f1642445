from .letterbox import FILL, Boxes, Image, Preprocessing
from .named_builders import adding, builder_of
from .names import OPEN_ADAPTERS, RTDETR, RTDETR_RESNET, TIMM, TORCHVISION, YOLO, YOLO_RTDETR, Family, Freeze, Masks, Part, Resize, backbone_adapters, backbone_of, canonical, check_detector_name, check_masks, check_segmenter_name, detector_adapter, detector_adapters, on_backbone_adapters, segmenter_adapters, weighs_boxes
from .parted import PartedModel, Stages, Targets
from .ultralytics_library import DEFAULT_CFG, DetectionModel, E2ELoss, RTDETRDetectionModel, get_cfg, make_anchors, register_layer, v8DetectionLoss, yaml_model_load

__all__ = ["Boxes", "DEFAULT_CFG", "DetectionModel", "E2ELoss", "FILL", "Family", "Freeze", "Image", "Masks", "OPEN_ADAPTERS", "Part", "PartedModel", "Preprocessing", "RTDETR", "RTDETRDetectionModel", "RTDETR_RESNET", "Resize", "Stages", "TIMM", "TORCHVISION", "Targets", "YOLO", "YOLO_RTDETR", "adding", "backbone_adapters", "backbone_of", "builder_of", "canonical", "check_detector_name", "check_masks", "check_segmenter_name", "detector_adapter", "detector_adapters", "get_cfg", "make_anchors", "on_backbone_adapters", "register_layer", "segmenter_adapters", "v8DetectionLoss", "weighs_boxes", "yaml_model_load"]
