"""What vision-language models share: features of pictures stand at token places of a text, which a
language model then continues. A family adds its tower, its projector and its arithmetic.

**Config** (`parts.VisionLanguageConfig`): `text_config` and `vision_config` may be of any
model type; `part_defaults` says of which when a file does not.

**Model** (`modeling.VisionLanguageModel`)::

    class AcmeForConditionalGeneration(VisionLanguageModel, AcmePreTrainedModel):
        visual_inputs = ("pixel_values", "image_sizes")  # what generate() gives `encode` once

        def build(self, config):  # language_model is built by the base
            self.vision_tower = self.part(AutoModel, "vision_config")
            self.multi_modal_projector = AcmeProjector(config)

        def encode(self, pixel_values=None, image_sizes=None):
            if pixel_values is None:
                return []
            features = ...  # (N, D) or (images, n, D)
            return [Visual("image", self.config.image_token_index, features)]

        @task_head
        def forward(
            self,
            input_ids=None,
            pixel_values=None,
            image_sizes=None,
            attention_mask=None,
            position_ids=None,
            past_key_values=None,
            inputs_embeds=None,
            labels=None,
            **kwargs,
        ):  # what `run` takes
            visual = {"pixel_values": pixel_values, "image_sizes": image_sizes}
            text = (input_ids, attention_mask, inputs_embeds, labels, position_ids, past_key_values)
            return self.run(visual, *text, **kwargs)

`run` embeds the text, puts the features of each `Visual` at the places of its token (an error
when their numbers differ), runs the language model, and returns an `output_class` with the loss and
``image_hidden_states`` / ``video_hidden_states``. `generate` encodes the pictures once, for the
prompt: so beams, several returned sequences, `prefill_chunk_size`, assistants and every cache work
without further care, several images per prompt included. In a later turn on the same cache, give
the whole text, with all its pictures or with the new ones alone. A family whose positions depend on
the pictures overrides `_prepare_model_kwargs` (and calls the base's); one whose pictures take no
token places (cross-attention) needs only `parts` and `processing`.

**Processor** (`processing.VisionLanguageProcessor`): a subclass sets `kwargs_class` (defaults of
``images_kwargs``, ``videos_kwargs``, ``text_kwargs``, ``common_kwargs``) and says in `image_texts`
and `video_texts` what each picture takes the place of its token with::

    class AcmeProcessor(VisionLanguageProcessor):
        image_token = "<image>"

        def image_texts(self, images):  # images: the image processor's output
            return [self.image_token * count for count in ...]

It gets ``processor(images, text, audio, videos, **kwargs)``, errors for a wrong number of pictures,
and ``apply_chat_template(messages, tokenize=True, return_dict=True)`` that loads the images and
videos of the messages. `processing.expand` and `chats.pictures_in` also serve processors that go
another way.

A model that is one of text and pictures in itself, without parts from auto classes, builds on
`reading.ReadsPictures` in place of `VisionLanguageModel`.
"""
