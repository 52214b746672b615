"""Layers with the variables and, within float tolerance, the numbers of Keras' own, in less time on a CPU."""

import tensorflow as tf
from keras import layers, ops


class PooledConv2D(layers.Conv2D):
    """A convolution with a bias and ReLU, and the 2x2 max-pooling after it, in one layer.

    ReLU and adding a bias never turn an order round, so they commute with the maximum: here they work on
    the pooled quarter of the numbers, and so do their gradients. Which of several equal numbers gets the
    gradient may differ only where ReLU gives none.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """From (N, H, W, C) to (N, h, w, filters), h and w half the height and width of the convolution."""
        convolved = self.convolution_op(inputs, self.kernel)
        return self.activation(ops.max_pool(convolved, 2, strides=2) + self.bias)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, filters = super().compute_output_shape(input_shape)
        return batch, height // 2, width // 2, filters


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization of images (N, H, W, C) with TensorFlow's fused kernel while training."""

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalize each channel; while training, move the moving statistics as Keras does."""
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        biased = variance * ((count - 1) / count)  # the kernel gives the unbiased one, Keras keeps the other
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, biased)):
            moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return outputs
