import CoreML
import CryptoKit
import Foundation

/// The model: one picture after the other.
actor Recogniser {
    let description: Description
    private let model: MLModel
    private let answering: Answering

    private init(model: MLModel, description: Description) {
        self.model = model
        self.description = description
        answering = Answering(description: description)
    }

    /// Load the model that is part of the application.
    static func load() async throws -> Recogniser {
        guard let url = Bundle.main.url(forResource: "Model", withExtension: "mlmodelc") else {
            throw PictureError(errorDescription: "The app contains no model.")
        }
        let model = try await MLModel.load(contentsOf: url, configuration: MLModelConfiguration())
        let own = model.modelDescription.metadata[.creatorDefinedKey] as? [String: String]
        guard let json = own?["foveal"]?.data(using: .utf8) else {
            throw PictureError(errorDescription: "The model was not exported by foveal.")
        }
        return Recogniser(model: model, description: try Description.read(json))
    }

    /// Answer a picture.
    func answer(_ picture: Pixels) throws -> Answer {
        let (input, frame) = try description.pipeline.input(picture)
        return try answering.answer(try run(input), frame: frame)
    }

    /// Answer a picture that came with the application, and compare.
    func check(_ expected: SelfCheck.Expected, tolerance: Double) throws -> CheckResult {
        let name = expected.file as NSString
        let url = Bundle.main.url(
            forResource: name.deletingPathExtension, withExtension: name.pathExtension)
        guard let url else {
            throw PictureError(errorDescription: "\(expected.file) is missing.")
        }
        let picture = try PictureDecoder.decode(try Data(contentsOf: url))
        let (input, frame) = try description.pipeline.input(picture)
        let answer = try answering.answer(try run(input), frame: frame)
        let digest = SHA256.hash(data: Data(input.data))
        return CheckResult(
            expected: expected,
            text: answer.text,
            confidence: answer.confidence,
            hasSameInput: digest.map { String(format: "%02x", $0) }.joined() == expected.input,
            tolerance: tolerance)
    }

    private func run(_ input: Pixels) throws -> [String: Output] {
        let image = MLFeatureValue(pixelBuffer: try Self.buffer(input))
        let given = try MLDictionaryFeatureProvider(dictionary: ["image": image])
        let made = try model.prediction(from: given)
        var outputs: [String: Output] = [:]
        for name in made.featureNames {
            guard let array = made.featureValue(for: name)?.multiArrayValue else {
                continue
            }
            let numbers = MLShapedArray<Float>(converting: array)
            // The first axis is the batch, of one picture.
            outputs[name] = Output(shape: Array(numbers.shape.dropFirst()), values: numbers.scalars)
        }
        return outputs
    }

    /// The picture as Core ML takes it. Nothing is scaled: it has the size of the model input.
    private static func buffer(_ pixels: Pixels) throws -> CVPixelBuffer {
        var made: CVPixelBuffer?
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [:] as CFDictionary] as CFDictionary
        let status = CVPixelBufferCreate(
            kCFAllocatorDefault, pixels.width, pixels.height, kCVPixelFormatType_32BGRA,
            attributes, &made)
        guard status == kCVReturnSuccess, let buffer = made else {
            throw PictureError(errorDescription: "There is not enough memory for the picture.")
        }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw PictureError(errorDescription: "There is not enough memory for the picture.")
        }
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        for row in 0..<pixels.height {
            let line = base.advanced(by: row * stride).assumingMemoryBound(to: UInt8.self)
            for column in 0..<pixels.width {
                let from = 3 * (row * pixels.width + column)
                line[4 * column] = pixels.data[from + 2]
                line[4 * column + 1] = pixels.data[from + 1]
                line[4 * column + 2] = pixels.data[from]
                line[4 * column + 3] = 255
            }
        }
        return buffer
    }
}
