"""The sentences of the page. Names in braces are filled in by the page's own code, `told` in js/app.js."""

from __future__ import annotations

from segbench.locale import message

TEXTS = {
    "private": message(
        "Segments images in this browser. It works offline, and no image leaves this computer: the page cannot send "
        "anything."
    ),
    "noscript": message("This page needs JavaScript."),
    "old": message(
        "This browser is too old for this page: it needs WebAssembly, DecompressionStream and OffscreenCanvas."
    ),
    "progress": message("Progress"),
    "images": message("Images"),
    "result": message("Result"),
    "drop": message("Drop images here, or paste one"),
    "choose": message("Choose images"),
    "formats": message("PNG, JPEG, WebP, BMP, GIF or AVIF of up to 50 megapixels; several at once."),
    "samples": message("Or try one of these"),
    "more": message("More images"),
    "remove": message("Remove"),
    "smaller": message("Smaller"),
    "larger": message("Larger"),
    "fit": message("Fit"),
    "key_help": message("Keys: + and - zoom, 0 fits, arrows move; Ctrl and the wheel zoom, too"),
    "display": message("Shown over the image"),
    "areas": message("Areas"),
    "outlines": message("Outlines"),
    "nothing": message("Nothing"),
    "opacity": message("Opacity"),
    "class": message("Class"),
    "px": message("Pixels"),
    "share": message("Share"),
    "threshold": message("Threshold"),
    "threshold_hint": message("A pixel counts from this probability on"),
    "threshold_reset": message("As trained"),
    "save": message("Save"),
    "save_palette": message("Mask (PNG, colours)"),
    "save_grey": message("Mask (PNG, grey values)"),
    "save_overlay": message("Picture as shown (PNG)"),
    "save_all": message("Masks of all images (ZIP)"),
    "about": message("About this model"),
    "loading": message("Loading the network ..."),
    "ready": message("Ready."),
    "working": message("{name}: segmenting ...", name="{name}"),
    "tile": message("{name}: tile {n} of {total}", name="{name}", n="{n}", total="{total}"),
    "done": message(
        "{name}: {width} x {height} pixels in {seconds} s",
        name="{name}",
        width="{width}",
        height="{height}",
        seconds="{seconds}",
    ),
    "done_resized": message(
        "{name}: {width} x {height} pixels in {seconds} s; the network saw {seen_width} x {seen_height}",
        name="{name}",
        width="{width}",
        height="{height}",
        seconds="{seconds}",
        seen_width="{seen_width}",
        seen_height="{seen_height}",
    ),
    "done_tiles": message(
        "{name}: {width} x {height} pixels in {seconds} s; the network saw {seen_width} x {seen_height} in tiles",
        name="{name}",
        width="{width}",
        height="{height}",
        seconds="{seconds}",
        seen_width="{seen_width}",
        seen_height="{seen_height}",
    ),
    "policy": message("Images of other sizes than those of training"),
    "as_trained": message("As trained"),
    "resize": message("Squeezed to the size of training"),
    "tiles": message("At the scale of training, in tiles"),
    "whole": message("At the scale of training, all at once"),
    "squeezed": message(
        "This image is much larger than those of training and was squeezed to {height} x {width} pixels, as those "
        "were. If it shows more things of the same size, not the same thing in more pixels, choose tiles.",
        height="{height}",
        width="{width}",
    ),
    "tiled": message("This image is larger than what goes through the network at once, so it went in tiles."),
    "unlike": message("This image is unlike those the network learnt from: {reasons}.", reasons="{reasons}"),
    "expected": message(
        "Going by how sure the network is, expect an IoU of about {value} ({low} to {high}).",
        value="{value}",
        low="{low}",
        high="{high}",
    ),
    "picture": message("{name} with what was found: {areas}", name="{name}", areas="{areas}"),
    "unsegmented": message("{name} was not segmented.", name="{name}"),
    "pasted": message("pasted image"),
    "start": message("The network could not be started: {detail}", detail="{detail}"),
    "failed": message(
        "The network could not segment this image: {detail}. It may need more memory than the browser has; try a "
        "smaller image, or tiles.",
        detail="{detail}",
    ),
    "empty": message("The file is empty."),
    "frames": message("An animated picture; save the frame that you mean as a file of its own."),
    "deep": message(
        "The image has 16 bits a pixel, and this network learnt from 8; save it with 8 bits, scaled like the images of "
        "training."
    ),
    "large": message(
        "The image is larger than what a browser draws (50 megapixels, 16 384 pixels a side); cut it, or use "
        "segbench predict."
    ),
    "damaged": message("The file is damaged or cut off; copy it again."),
    "unknown": message(
        "This browser cannot open the file as an image; save it as PNG or JPEG. segbench predict reads TIFF and HEIC."
    ),
}
