"""The table of the original layouts that this distribution converts; nothing is imported."""

from __future__ import annotations

from dovetail.declarations import ConverterDeclaration


def layout(model_type: str, name: str, target: str, summary: str) -> ConverterDeclaration:
    """The layout `target` of a family's `conversion.py`."""
    module = f"dovetail_models_vision.{model_type.replace('-', '_')}.conversion"
    return ConverterDeclaration(model_type, name, f"{module}:{target}", summary)


CONVERTERS = (
    layout(
        "rt_detr", "lyuwenyu", "DETECTOR", "rtdetr_r*vd*.pth: the moving average of the weights"
    ),
    layout("bit", "timm", "TIMM", "resnetv2_*_bit*.pth"),
    layout("blip", "salesforce-captioning", "CAPTIONING", "model*_caption*.pth: it writes"),
    layout("blip", "salesforce-retrieval", "RETRIEVAL", "model*_retrieval*.pth: it compares"),
    layout("blip", "salesforce-vqa", "ANSWERING", "model*_vqa*.pth: it answers questions"),
    layout("blip-2", "lavis-opt", "OPT", "LAVIS's model.pth with OPT"),
    layout("blip-2", "lavis-retrieval", "MATCHING", "LAVIS's model.pth of the first stage"),
    layout("blip-2", "lavis-t5", "FLAN_T5", "LAVIS's model.pth with Flan-T5"),
    layout("clip", "openai", "OPENAI", "a state dict: both towers, of OpenAI or OpenCLIP"),
    layout("convnext", "facebook", "FACEBOOK", "convnext_*.pth"),
    layout("deformable_detr", "sensetime", "DETECTOR", "*deformable_detr*.pth, in all variants"),
    layout("detr", "facebook", "DETECTOR", "detr-r50*.pth: boxes, with a torchvision ResNet"),
    layout("detr", "facebook-panoptic", "SEGMENTER", "detr-r50-panoptic*.pth: boxes and masks"),
    layout("dinov2", "facebook", "FACEBOOK", "dinov2_vit*14_pretrain.pth"),
    layout("dpt", "intel", "DEPTH", "dpt_*-midas-*.pt, hybrids too"),
    layout("dpt", "intel-ade20k", "SEGMENTER", "dpt_*-ade20k-*.pt, hybrids too"),
    layout("idefics2", "original", "ORIGINAL", "before the Hub's port: a flat config, words apart"),
    layout("idefics3", "original", "ORIGINAL", "before the Hub's port: a flat config, words apart"),
    layout("instructblip", "lavis-t5", "FLAN_T5", "LAVIS's model.pth with Flan-T5"),
    layout("instructblip", "lavis-vicuna", "VICUNA", "LAVIS's model.pth with Vicuna"),
    layout("instructblipvideo", "lavis-t5", "FLAN_T5", "LAVIS's model.pth with Flan-T5"),
    layout("instructblipvideo", "lavis-vicuna", "VICUNA", "LAVIS's model.pth with Vicuna"),
    layout("llava", "original", "ORIGINAL", "llava-v1.5-*: the decoder's files with all parts"),
    ConverterDeclaration(
        "llava",
        "mistral",
        "dovetail_models_vision.pixtral.conversion:MISTRAL",
        "Pixtral's consolidated.safetensors: the decoder and the vision part",
    ),
    layout("llava_next", "original", "ORIGINAL", "llava-v1.6-*: with the end of rows"),
    layout("llava_next_video", "original", "ORIGINAL", "LLaVA-NeXT-Video-*: with pooled frames"),
    layout("mask2former", "detectron2", "DETECTRON2", "model_final.pth, with Swin or ResNet"),
    layout("mllama", "meta", "META", "consolidated*.pth and params.json of Llama 3.2 Vision"),
    layout("omdet-turbo", "om-ai-lab", "DETECTOR", "OmDet-Turbo_tiny_SWIN_T.pth: all three parts"),
    layout("owlvit", "scenic", "SCENIC", "clip_vit_*: a tree of flax"),
    layout("resnet", "timm", "TIMM", "resnet*.pth of timm and torchvision"),
    layout("paligemma", "big-vision", "BIG_VISION", "pt_*.npz: the encoder and Gemma in stacks"),
    layout("sam", "facebook", "FACEBOOK", "sam_vit_*.pth: all three parts"),
    layout("segformer", "nvidia", "SEGMENTER", "segformer.b*.pth: encoder and head"),
    layout("segformer", "nvidia-mit", "CLASSIFIER", "mit_b*.pth: encoder and classifier"),
    layout("siglip", "big-vision", "BIG_VISION", "webli_*.npz: both towers"),
    layout("swin", "microsoft", "MICROSOFT", "swin_*_patch4_window*.pth"),
    layout("swin2sr", "mv-lab", "MV_LAB", "Swin2SR_*.pth, every kind"),
    layout("videomae", "mcg-nju", "PAINTER", "*pretrain*.pth: encoder and decoder"),
    layout("videomae", "mcg-nju-finetuned", "CLASSIFIER", "*finetune*.pth: encoder and head"),
    layout("vilt", "dandelin", "MASKED", "vilt_200k_mlm_itm.ckpt: masked words"),
    layout("vilt", "dandelin-irtr", "RETRIEVAL", "vilt_irtr_*.ckpt: scores of pairs"),
    layout("vilt", "dandelin-nlvr2", "REASONING", "vilt_nlvr2.ckpt: two pictures"),
    layout("vilt", "dandelin-vqa", "ANSWERING", "vilt_vqa.ckpt: answers"),
    layout("vit", "timm", "TIMM", "vit_*_patch*.pth: encoder and classifier"),
)
