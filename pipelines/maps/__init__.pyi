from .build import build_method, method_over
from .evaluation_stage import evaluate_maps
from .grids import grid_shapes, map_grids
from .job_steps import Decoding, encoding_steps
from .kead import KeAD, zero_shot_map
from .map_export import CategoryCut, export_maps, refuse_unwritable
from .method import CategoryState, MapMethod, anomaly_probability, preprocess
from .metrics import Masks, image_auroc, pixel_auroc, pixel_figures
from .onnx_tower import OnnxTower, tower_file
from .reading import Floats, map_rows, upsample
from .resources import images_at_once
from .rows import PARTS, category_states, decode_rows, map_batch, map_schema, readable_rows
from .section import KeadSettings, MapsSection, WinclipSettings
from .sentences import check_sentences, unread
from .stage import check_maps, make_maps
from .tile_section import TileSettings
from .tiled_rows import TILED_SCHEMA
from .tiling import tiled_image, tiled_maps, tiled_state
from .winclip import WinCLIP

__all__ = [
    "PARTS",
    "TILED_SCHEMA",
    "CategoryCut",
    "CategoryState",
    "Decoding",
    "Floats",
    "KeAD",
    "KeadSettings",
    "MapMethod",
    "MapsSection",
    "Masks",
    "OnnxTower",
    "TileSettings",
    "WinCLIP",
    "WinclipSettings",
    "anomaly_probability",
    "build_method",
    "category_states",
    "check_maps",
    "check_sentences",
    "decode_rows",
    "encoding_steps",
    "evaluate_maps",
    "export_maps",
    "grid_shapes",
    "image_auroc",
    "images_at_once",
    "make_maps",
    "map_batch",
    "map_grids",
    "map_rows",
    "map_schema",
    "method_over",
    "pixel_auroc",
    "pixel_figures",
    "preprocess",
    "readable_rows",
    "refuse_unwritable",
    "tiled_image",
    "tiled_maps",
    "tiled_state",
    "tower_file",
    "unread",
    "upsample",
    "zero_shot_map",
]
