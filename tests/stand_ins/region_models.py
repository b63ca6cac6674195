"""Detectors and maskers of transformers' own classes, small and random, each with its processor."""

import torch
import transformers as t

WORDS = ["cat", "dog", "horse", "grass", "wild", "rooster", "hen", "rain"]


def owl(kind):
    torch.manual_seed(0)
    base = "OwlViT" if kind == "owlvit" else "Owlv2"
    shared = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
              "num_attention_heads": 2}  # fmt: skip
    config = getattr(t, f"{base}Config")(
        text_config=shared, vision_config={**shared, "image_size": 96, "patch_size": 16},
        projection_dim=32,
    )  # fmt: skip
    model = getattr(t, f"{base}ForObjectDetection")(config).eval()
    with torch.no_grad():  # a random head's boxes would be nothing but corners
        for weight in model.box_head.parameters():
            weight.mul_(0.2)
    size = {"height": 96, "width": 96}
    processor = getattr(t, f"{base}ImageProcessor")(size=size, crop_size=size)
    return model, processor


def grounding_dino():
    torch.manual_seed(0)
    swin = t.SwinConfig(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2], window_size=4,
                        image_size=64, out_indices=[2, 3, 4])  # fmt: skip
    bert = t.BertConfig(vocab_size=1100, hidden_size=16, num_hidden_layers=1, intermediate_size=16,
                        num_attention_heads=2, max_position_embeddings=128)  # fmt: skip
    config = t.GroundingDinoConfig(
        backbone_config=swin, text_config=bert, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2,
        decoder_attention_heads=2, num_queries=20, max_text_len=64, num_feature_levels=3,
    )  # fmt: skip
    model = t.GroundingDinoForObjectDetection(config).eval()
    vocab = {f"[unused{i}]": i for i in range(1100)}
    places = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012}
    places |= {word: 1050 + i for i, word in enumerate(WORDS)}
    vocab = {w: i for w, i in vocab.items() if i not in places.values()} | places
    vocab = dict(sorted(vocab.items(), key=lambda kv: kv[1]))
    size = {"shortest_edge": 64, "longest_edge": 96}
    processor = t.GroundingDinoProcessor(
        t.GroundingDinoImageProcessor(size=size), t.BertTokenizer(vocab=vocab)
    )
    return model, processor


def sam(kind):
    torch.manual_seed(0)
    if kind == "sam":
        config = t.SamConfig(
            vision_config={"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1,
                           "num_attention_heads": 2, "image_size": 64, "patch_size": 8,
                           "mlp_dim": 16, "num_pos_feats": 8, "global_attn_indexes": [0],
                           "window_size": 2},
            prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 8,
                                   "mask_input_channels": 4},
            mask_decoder_config={"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1,
                                 "num_attention_heads": 2, "iou_head_hidden_dim": 16},
        )  # fmt: skip
        size = {"longest_edge": 64}, {"height": 64, "width": 64}
        images = t.SamImageProcessor(size=size[0], pad_size=size[1])
        return t.SamModel(config).eval(), t.SamProcessor(images)
    config = t.Sam2Config(
        vision_config=t.Sam2VisionConfig(
            backbone_config=t.Sam2HieraDetConfig(
                hidden_size=8, embed_dim_per_stage=[8, 16, 32, 64], blocks_per_stage=[1, 1, 2, 1],
                num_attention_heads_per_stage=[1, 1, 2, 2], global_attention_blocks=[3],
                window_size_per_stage=[8, 4, 8, 4], image_size=[128, 128],
                window_positional_embedding_background_size=[4, 4],
            ),
            fpn_hidden_size=16, backbone_channel_list=[64, 32, 16, 8],
            backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        ),
        prompt_encoder_config={"hidden_size": 16, "image_size": 128, "patch_size": 16,
                               "mask_input_channels": 4},
        mask_decoder_config={"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1,
                             "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    )  # fmt: skip
    images = t.Sam2ImageProcessor(size={"height": 128, "width": 128})
    return t.Sam2Model(config).eval(), t.Sam2Processor(images)
