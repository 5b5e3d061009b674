"""Writers of small datasets in the published formats, including their quirks."""

import json

import numpy as np
import pandas as pd
from scipy.io import savemat

APASCAL_NAMES = (
    "2D Boxy|3D Boxy|Round|Vert Cyl|Horiz Cyl|Occluded|Tail|Beak|Head|Ear|Snout|Nose|Mouth|Hair|"
    "Face|Eye|Torso|Hand|Arm|Leg|Foot/Shoe|Wing|Propeller|Jet engine|Window|Row Wind|Wheel|Door|"
    "Headlight|Taillight|Side mirror|Exhaust|Pedal|Handlebars|Engine|Sail|Mast|Text|Label|"
    "Furn. Leg|Furn. Back|Furn. Seat|Furn. Arm|Horn|Rein|Saddle|Leaf|Flower|Stem/Trunk|Pot|Screen|"
    "Skin|Metal|Plastic|Wood|Cloth|Furry|Glass|Feather|Wool|Clear|Shiny|Vegetation|Leather"
)
CELEBA_NAMES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose "
    "Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee "
    "Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard "
    "Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair "
    "Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young"
)
CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
MAAD_HEADER = "Filename,Identity,Male,Young,Middle_Aged,5_o_Clock_Shadow"


def table_of(codes, names):
    """Return what a loader must return for codes 1, 0 and -1, made by pandas from objects."""
    cells = np.array([False, True, None], dtype=object)[np.asarray(codes)]
    return pd.DataFrame(cells, columns=names).astype("boolean")


def write_text(path, text):
    """Write text with line feeds as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def write_apascal(folder, rng, sizes=(6, 5, 4)):
    """Write the five files; return the rows as lists of text, by subset."""
    write_text(folder / "attribute_names.txt", APASCAL_NAMES.replace("|", "\n") + "\n")
    write_text(folder / "class_names.txt", "horse\nperson\ndonkey\n")
    rows = {}
    files = {"train": "apascal_train", "test": "apascal_test", "ayahoo": "ayahoo_test"}
    for (subset, file), size in zip(files.items(), sizes, strict=True):
        rows[subset] = [
            [f"2008_{k // 2:06}.jpg", "horse" if k % 2 else "person", "1", "7", str(9 + k), "8"]
            + [str(bit) for bit in rng.integers(0, 2, 64)]
            for k in range(size)
        ]
        rows[subset][1][6:] = ["0"] * 64
        text = "".join(" ".join(row) + "\n" for row in rows[subset])
        write_text(folder / f"{file}.txt", text)
    return rows


def write_celeba(folder, rng, n=7):
    """Write the four files; return the labels, True where positive."""
    labels = rng.random((n, 40)) < 0.4
    images = [f"{k + 1:06}.jpg" for k in range(n)]
    # Two blanks before a 1, one before a -1; a trailing blank after the names.
    lines = [
        image + "".join("  1" if bit else " -1" for bit in row)
        for image, row in zip(images, labels, strict=True)
    ]
    write_text(folder / "list_attr_celeba.txt", "\n".join([str(n), CELEBA_NAMES + " ", *lines, ""]))
    parts = [f"{image} {k * 3 // n}\n" for k, image in enumerate(images)]
    write_text(folder / "list_eval_partition.txt", "".join(parts))
    people = [f"{image} {2880 + k // 2}\n" for k, image in enumerate(images)]
    write_text(folder / "identity_CelebA.txt", "".join(people))
    boxes = [f"{image}    {95 + k}  71 226 313\n" for k, image in enumerate(images)]
    header = f"{n}\nimage_id x_1 y_1 width height\n"
    write_text(folder / "list_bbox_celeba.txt", header + "".join(boxes))
    return labels


def write_maad_face(folder, rng, n=9):
    """Write the file; return the labels 1, 0 (false) and -1 (unknown)."""
    cells = rng.integers(-1, 2, (n, 4))
    lines = [
        f"n{k // 3:06}/{k:04}_01.jpg,{k // 3}," + ",".join(map(str, row))
        for k, row in enumerate(cells)
    ]
    write_text(folder / "MAAD_Face.csv", "\n".join([MAAD_HEADER, *lines, ""]))
    return np.choose(cells + 1, [0, -1, 1])


def write_chexpert(folder, rng, sizes=(8, 3)):
    """Write train.csv and valid.csv; return the cells as text, by subset."""
    cells = {}
    for part, size in zip(("train", "valid"), sizes, strict=True):
        cells[part] = rng.choice(["1.0", "0.0", "-1.0", ""], (size, 14))
        lines = [
            f"CheXpert-v1.0-small/{part}/patient{k // 2:05}/study1/view{k % 2 + 1}_frontal.jpg,"
            + ("Female,68,Frontal,AP," if k % 2 else "Male,0,Lateral,,")
            + ",".join(row)
            for k, row in enumerate(cells[part])
        ]
        write_text(folder / f"{part}.csv", "\n".join([CHEXPERT_HEADER, *lines, ""]))
    return cells


VAW_NAMES = ["amber", "aqua", "far away", "two-story", "gray"]


def vaw_object(number, positive, negative, box=(10.4, 0.0, 20.0, 30.5)):
    """Return an object as VAW has it."""
    return {
        "image_id": 2373241 + number // 2,
        "instance_id": str(2373241000 + number),
        "instance_bbox": list(box),
        "instance_polygon": None,
        "object_name": ["floor", "cat"][number % 2],
        "positive_attributes": positive,
        "negative_attributes": negative,
    }


def write_vaw(folder, rng, sizes=(4, 3, 3, 2)):
    """Write all files; return the labels 1, 0 and -1, of all parts in order."""
    labels = rng.integers(-1, 2, (sum(sizes), len(VAW_NAMES)))
    files = ["train_part1", "train_part2", "val", "test"]
    starts = np.cumsum([0, *sizes])
    for file, start, size in zip(files, starts[:-1], sizes, strict=True):
        objects = []
        for number in range(start, start + size):
            listed = [
                [VAW_NAMES[j] for j in np.flatnonzero(labels[number] == code)] for code in (1, 0)
            ]
            objects.append(vaw_object(int(number), *listed))
        write_text(folder / f"{file}.json", json.dumps(objects))
    # Written in another order than that of the numbers.
    index = {name: k for k, name in reversed(list(enumerate(VAW_NAMES)))}
    write_text(folder / "attribute_index.json", json.dumps(index))
    groups = {"head": ["gray"], "medium": ["amber", "aqua"], "tail": ["far away", "two-story"]}
    write_text(folder / "head_tail.json", json.dumps(groups))
    write_text(folder / "attribute_types.json", json.dumps({"color": ["amber", "aqua", "gray"]}))
    return labels


def cell(values):
    """Return a column cell array."""
    column = np.empty((len(values), 1), dtype=object)
    column[:, 0] = values
    return column


def partitions(rng, n, parts, as_rows):
    """Return five random partitions of the rows 1 to n, as cells of structures."""
    made = []
    for _ in range(5):
        pieces = np.array_split(rng.permutation(n) + 1, len(parts))
        shape = (1, -1) if as_rows else (-1, 1)
        made.append({p: piece.reshape(shape) for p, piece in zip(parts, pieces, strict=True)})
    return made


def write_pa100k(folder, rng, sizes=(6, 3, 2)):
    """Write annotation.mat; return the labels."""
    variables = {"attributes": cell(["Female", "AgeOver60", "Skirt&Dress"])}
    labels, first = [], 1
    for part, size in zip(("train", "val", "test"), sizes, strict=True):
        labels.append(rng.integers(0, 2, (size, 3)).astype(np.uint8))
        variables[f"{part}_images_name"] = cell([f"{first + k:06}.jpg" for k in range(size)])
        variables[f"{part}_label"] = labels[-1]
        first += size
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "annotation.mat", variables, do_compression=True)
    return np.concatenate(labels)


def write_peta(folder, rng, n=12):
    """Write PETA.mat with 40 attributes, of which 35 are evaluated; return the 40 labels."""
    labels = rng.integers(0, 2, (n, 40))
    others = rng.integers(0, 9000, (n, 4))
    names = np.empty((40, 2), dtype=object)
    names[:, 0] = [f"attribute{k}" for k in range(40)]
    names[:, 1] = [str(k) for k in range(40)]
    peta = {
        "data": np.hstack([others, labels]).astype(np.float64),
        "attribute": names,
        "selected_attribute": np.arange(1, 36),
        "partition": cell(partitions(rng, n, ("train", "val", "test"), as_rows=False)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "PETA.mat", {"peta": peta}, do_compression=True)
    return labels


def rap_names(n):
    """Return names of images, two of each tracked person."""
    clip = "CAM01_2014-02-15_20140215161032-20140215162620"
    return [f"{clip}_tarid{k // 2}_frame{218 + k}_line1.png" for k in range(n)]


def write_rap(folder, rng, n=10):
    """Write RAP_annotation.mat of the first version; return the labels, 2 where uncertain."""
    labels = rng.integers(0, 3, (n, 6)).astype(np.uint8)
    annotation = {
        "partion": cell(partitions(rng, n, ("train", "test"), as_rows=True)),
        "label": labels,
        "attribute_chinese": cell([f"c{k}" for k in range(6)]),
        "attribute_eng": cell([f"hs-{k}" for k in range(6)]),
        "position": np.zeros((n, 16), dtype=np.int32),
        "imagesname": cell(rap_names(n)),
        "attribute_exp": cell(["Female", "AgeLess16", "Hat"]),
    }
    (folder / "RAP_annotation").mkdir(parents=True, exist_ok=True)
    file = folder / "RAP_annotation" / "RAP_annotation.mat"
    savemat(file, {"RAP_annotation": annotation}, do_compression=True)
    return labels[:, :3]


def write_rap2(folder, rng, n=10):
    """Write RAP_annotation.mat of the second version; return the chosen labels and names."""
    labels = rng.integers(0, 3, (n, 8)).astype(np.float64)
    # The last columns are no labels but coordinates.
    labels[:, 6:] = 100 + rng.integers(0, 900, (n, 2))
    parts = partitions(rng, n, ("train_index", "val_index", "test_index"), as_rows=True)
    row = np.empty((1, 5), dtype=object)
    row[0] = parts
    annotation = {
        "name": cell(rap_names(n)),
        "data": labels,
        "attribute": cell([f"a{k}" for k in range(8)]),
        "selected_attribute": np.array([[2, 5, 1]]),
        "partition_attribute": row,
        "person_identity": np.arange(n).reshape(-1, 1),
        "partition_reid": {"train_identity": np.arange(3)},
    }
    (folder / "RAP_annotation").mkdir(parents=True, exist_ok=True)
    file = folder / "RAP_annotation" / "RAP_annotation.mat"
    savemat(file, {"RAP_annotation": annotation}, do_compression=True)
    return labels[:, [1, 4, 0]].astype(int), ["a1", "a4", "a0"]
